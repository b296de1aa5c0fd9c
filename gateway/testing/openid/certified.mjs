// An OpenID provider that is certified by the OpenID Foundation (npm: oidc-provider), on loopback. Anybody may sign in
// with any password: the login is the `sub`. Argument: {"port", "methods": [client authentication methods], "clients":
// [OpenID client metadata]} as JSON.

import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const { port, methods, clients } = JSON.parse(process.argv[2]);
const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const signing = { ...pair.privateKey.export({ format: "jwk" }), use: "sig", kid: "one" };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  clientAuthMethods: methods,
  cookies: { keys: ["only-for-tests"] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, email: `${sub}@example.com`, email_verified: true }),
  }),
  jwks: { keys: [signing] },
  pkce: { required: () => true },
});
provider.listen(port, "127.0.0.1", () => console.log(JSON.stringify({ ready: true })));
