// The page's elements. Whatever people write goes in as text, never as markup.

const HUES = 8;
const SVG = "http://www.w3.org/2000/svg";

/** The element of an id. */
export function element(id) {
  return document.getElementById(id);
}

/** A new element with classes and children; strings become text. */
export function make(tag, classes = "", ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

/** A new button. */
export function button(label, classes, pressed) {
  const made = make("button", classes, label);
  made.type = "button";
  made.addEventListener("click", pressed);
  return made;
}

/** One of the signs at the end of index.html. */
export function icon(name) {
  const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS(SVG, tag));
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A labelled control: `{ label, control, hint }`; the control gets an id. */
export function field(label, control, hint = "") {
  control.id ||= `field-${control.name}`;
  const title = make("label", "", label);
  title.htmlFor = control.id;
  if (!hint) return make("div", "field", title, control);
  const words = make("p", "quiet hint", hint);
  words.id = `${control.id}-hint`;
  control.setAttribute("aria-describedby", words.id);
  return make("div", "field", title, control, words);
}

/** A text control of a form. */
export function input(name, properties = {}) {
  return Object.assign(make(properties.rows ? "textarea" : "input"), { name, autocomplete: "off", ...properties });
}

/** A choice; `options` has `[value, label]` for each. */
export function select(name, options, value) {
  const made = Object.assign(make("select"), { name });
  made.append(...options.map(([key, label]) => Object.assign(make("option", "", label), { value: key })));
  made.value = value;
  return made;
}

/** Makes the children of a list the wanted ones, keeping and moving what is there. */
export function reconcile(list, wanted, create, update) {
  const present = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const item of wanted) {
    const child = present.get(item.key) ?? create(item);
    child.dataset.key = item.key;
    present.delete(item.key);
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else list.insertBefore(child, place);
  }
  for (const child of present.values()) child.remove();
}

/** First letter and colour of somebody, or of a room. */
export function paintAvatar(avatar, name, id, isRoom = false) {
  setText(avatar, [...name][0]?.toUpperCase() ?? "?");
  avatar.classList.toggle("room", isRoom);
  // Ids are made of a time and a counter: only all of their digits together differ from person to person.
  avatar.dataset.hue = String(
    [...String(id)].reduce((sum, digit) => (sum * 31 + digit.charCodeAt(0)) % 9973, 7) % HUES,
  );
}

/** Writes a text only if it differs, so that nothing is announced twice. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Text in which addresses can be followed. */
export function linked(text) {
  const parts = text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]])/u);
  return parts.filter(Boolean).map((part, index) => (isAddress(part, index) ? link(part) : part));
}

function isAddress(part) {
  return /^https?:\/\//u.test(part) && URL.canParse(part);
}

function link(address) {
  return Object.assign(make("a", "", address), { href: address, target: "_blank", rel: "noopener noreferrer" });
}

/** Time of day. */
export function clock(date) {
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** Time of day if it is today, else the day. */
export function shortTime(date) {
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock(date) : date.toLocaleDateString([], { day: "numeric", month: "short" });
}

/** The day. */
export function longDay(date) {
  if (date.toDateString() === new Date().toDateString()) return "Today";
  return date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}
