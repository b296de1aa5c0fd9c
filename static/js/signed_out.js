/** The page after a sign-out. */

import { tellSignOut } from "./leaving.js";

tellSignOut();
