/** What channels are called, as the page says. */

import { clean } from "./text.js";

const { channels = {} } = JSON.parse(document.getElementById("config").textContent);

/** The channel's name for people; of one that the page does not know, its own. */
export function label(channel) {
  return Object.hasOwn(channels, channel) ? channels[channel] : clean(channel);
}
