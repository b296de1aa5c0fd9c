// An issuer whose keys rotate (npm: oauth2-mock-server), on loopback. A line of JSON on its input is a command, the next
// line on its output the answer: {"do": "generate", "alg", "kid"} · {"do": "token", "kid", "claims"} · {"do": "sign",
// "claims"}, which go into every token from then on · {"do": "stop"} · {"do": "start"}. Argument: {"port"} as JSON.

import { createInterface } from "node:readline";
import { Events, OAuth2Server } from "oauth2-mock-server";

const { port } = JSON.parse(process.argv[2]);
const server = new OAuth2Server();
const say = (answer) => console.log(JSON.stringify(answer));

let signed = {};
server.service.on(Events.BeforeTokenSigning, (token) => Object.assign(token.payload, signed));

const commands = {
  sign: ({ claims }) => void (signed = claims),
  generate: ({ alg, kid }) => server.issuer.keys.generate(alg, { kid }),
  token: ({ kid, claims }) =>
    server.issuer.buildToken({
      kid,
      scopesOrTransform: (_, payload) => Object.assign(payload, claims),
    }),
  start: () => server.start(port, "127.0.0.1"),
  stop: () => server.stop(),
};

await server.issuer.keys.generate("RS256", { kid: "one" });
await server.start(port, "127.0.0.1");
say({ ready: true, issuer: server.issuer.url });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  say({ answer: (await commands[command.do](command)) ?? null });
}
