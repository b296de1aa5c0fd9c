/** A conversation's stored messages as turns that a view can show. */

/**
 * Group messages, oldest first, by turn.
 *
 * A message: {turn, role: "user" | "assistant" | "tool", content, channel?, model?, at?, tool_calls?: [{id, name,
 * arguments}], tool_call_id?, name?, ms?, failed?, images?: [{url, alt}], attachments?: [name]}. `endings`, by turn: {state,
 * usage, ms, error}. A turn: {turn, question: {content, channel, attachments} | null, model, steps, ending?}, a step being
 * {kind: "text", content}, {kind: "tool", call, tool, arguments, summary, ms?, failed?} or {kind: "image", url, alt}.
 */
export function historyTurns(messages, endings = {}) {
  const turns = new Map();
  for (const message of messages) {
    const turn = turns.get(message.turn) ?? { turn: message.turn, question: null, model: null, steps: [] };
    turns.set(message.turn, turn);
    READERS[message.role]?.(turn, message);
  }
  return [...turns.values()].map((turn) => ({ ...turn, ending: endings[turn.turn] }));
}

const READERS = {
  user(turn, { content, channel, attachments }) {
    turn.question ??= { content, channel: channel ?? "web", attachments: attachments ?? [] };
  },
  assistant(turn, { content, model, tool_calls: calls, images }) {
    if (content) turn.steps.push({ kind: "text", content });
    turn.model = model ?? turn.model;
    for (const { url, alt } of images ?? []) turn.steps.push({ kind: "image", url, alt });
    for (const { id, name, arguments: values } of calls ?? []) {
      turn.steps.push({ kind: "tool", call: id, tool: name, arguments: values ?? {}, summary: "" });
    }
  },
  tool(turn, { content, name, tool_call_id: id, images, ms, failed }) {
    const call = turn.steps.find((step) => step.kind === "tool" && step.call === id);
    const told = { summary: content, ms, failed };
    if (call) Object.assign(call, told);
    else turn.steps.push({ kind: "tool", call: id, tool: name ?? "tool", arguments: {}, ...told });
    for (const { url, alt } of images ?? []) turn.steps.push({ kind: "image", url, alt });
  },
};
