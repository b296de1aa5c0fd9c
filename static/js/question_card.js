/** Something that only the user knows: a form made from the JSON Schema of the answer. */

import { el } from "./dom.js";
import { fieldOf } from "./form_fields.js";
import { WaitCard } from "./wait_card.js";
import { t } from "./words.js";

/** `frame`: the event `question`; answer(values) sends it, null declines. */
export function questionCard(frame, answer) {
  const schema = frame.schema ?? {};
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  const specs = Object.entries(schema.properties ?? {});
  const fields = specs.map(([name, spec]) => fieldOf(name, spec ?? {}, required.has(name)));
  const form = el("form", { class: "ask-form", id: `question-${frame.question}` },
    ...fields.map(({ node }) => node));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(valuesOf(fields));
  });
  const controls = [
    el("button", { type: "submit", class: "button", form: form.id }, fields.length ? t("Answer") : t("Go on")),
    el("button", { type: "button", class: "button secondary", onclick: () => answer(null) }, t("Don't answer")),
  ];
  return new WaitCard({
    kind: t("The agent asks you"),
    past: t("Question"),
    title: frame.text,
    until: frame.expires_at,
    body: [form],
    controls,
  });
}

/** What was filled in; what was left empty is left out. */
function valuesOf(fields) {
  return Object.fromEntries(fields.map(({ name, read }) => [name, read()]).filter(([, value]) => value !== undefined));
}
