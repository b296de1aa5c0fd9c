/** One value of a form, by its JSON Schema: the field to fill in, and what is read from it (undefined = left empty). */

import { el } from "./dom.js";
import { clean } from "./text.js";
import { t } from "./words.js";

const INPUT_TYPES = { email: "email", uri: "url", date: "date" };
const LONG_TEXT = 120;
let count = 0;

export function fieldOf(name, spec, required) {
  const id = `field-${(count += 1)}`;
  const make = spec.type === "boolean" ? yesOrNo : choicesOf(spec).length ? choice : isNumber(spec) ? number : text;
  const { control, read } = make({ id, spec, required });
  const title = clean(spec.title ?? name);
  const about = spec.description ? [el("span", { class: "about" }, clean(spec.description))] : [];
  const label = el("label", { for: id, dir: "auto" }, required ? title : t("{name} (optional)", { name: title }));
  return { name, read, node: el("div", { class: "field" }, label, control, ...about) };
}

/** [value, label] of each choice of an enum, in either of MCP's forms. */
function choicesOf({ enum: listed, enumNames: names, oneOf }) {
  if (Array.isArray(oneOf)) {
    return oneOf.filter((each) => "const" in each).map((each) => [each.const, each.title ?? each.const]);
  }
  return Array.isArray(listed) ? listed.map((value, index) => [value, names?.[index] ?? value]) : [];
}

function isNumber({ type }) {
  return type === "number" || type === "integer";
}

function choice({ id, spec, required }) {
  const choices = choicesOf(spec);
  const options = choices.map(([value, label], index) =>
    el("option", { value: String(index), selected: value === spec.default }, clean(label)));
  const control = el("select", { id, required }, el("option", { value: "" }, t("Choose…")), ...options);
  return { control, read: () => (control.value === "" ? undefined : choices[Number(control.value)][0]) };
}

function yesOrNo({ id, spec, required }) {
  const oneOf = [{ const: true, title: t("Yes") }, { const: false, title: t("No") }];
  return choice({ id, required, spec: { oneOf, default: spec.default } });
}

function number({ id, spec, required }) {
  const step = spec.type === "integer" ? "1" : "any";
  const attributes = { id, type: "number", required, step, min: spec.minimum, max: spec.maximum, value: spec.default };
  const control = el("input", { ...attributes, inputmode: "decimal" });
  return { control, read: () => (control.value === "" ? undefined : control.valueAsNumber) };
}

function text({ id, spec, required }) {
  const limits = { id, required, minlength: spec.minLength, maxlength: spec.maxLength };
  const type = INPUT_TYPES[spec.format];
  const long = !type && (spec.maxLength ?? 0) > LONG_TEXT;
  const control = long ? el("textarea", { ...limits, rows: "3" }) : el("input", { ...limits, type: type ?? "text" });
  control.value = typeof spec.default === "string" ? spec.default : "";
  return { control, read: () => (control.value === "" ? undefined : control.value) };
}
