// The dialog in which a room is made.

import { attempt } from "./attempt.js";
import { openDialog } from "./dialogs.js";
import { field, input, make, select } from "./dom.js";

export const JOIN_CHOICES = [
  ["JOIN_POLICY_INVITE_ONLY", "Only who is added"],
  ["JOIN_POLICY_OPEN", "Everybody with the link"],
];
export const HISTORY_CHOICES = [
  ["HISTORY_POLICY_SINCE_JOIN", "What is said since they came"],
  ["HISTORY_POLICY_EVERYTHING", "Everything that was ever said"],
];

/** Asks for a room and makes it; `made(room)` is called then. `lookup(username)` finds a user. */
export function openNewRoom({ rooms, lookup, made }) {
  const controls = {
    name: input("name", { maxLength: 128, required: true }),
    description: input("description", { rows: 2, maxLength: 2000 }),
    join: select("join", JOIN_CHOICES, "JOIN_POLICY_INVITE_ONLY"),
    history: select("history", HISTORY_CHOICES, "HISTORY_POLICY_SINCE_JOIN"),
    members: input("members", { placeholder: "ada, grace", autocapitalize: "none", spellcheck: false }),
  };
  const error = make("p", "error");
  error.role = "alert";
  const submit = make("button", "primary", "Create room");
  const form = make(
    "form",
    "sheet",
    field("Name", controls.name),
    field("Description", controls.description),
    field("Who may join", controls.join),
    field("What members may read", controls.history),
    field("First members", controls.members, "User names, with commas between them. You can add more later."),
    error,
    make("div", "actions", submit),
  );
  form.noValidate = true;
  // One id for all attempts: pressed twice, or again after an answer was lost, it is one room.
  const clientRequestId = crypto.randomUUID?.() ?? String(Math.random());
  const close = openDialog("New room", form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    await attempt(error, () => create({ rooms, lookup, controls, clientRequestId, made, close }), form);
  };
}

async function create({ rooms, lookup, controls, clientRequestId, made, close }) {
  const { name, description, join, history, members } = controls;
  const names = members.value.split(/[\s,;]+/u).filter(Boolean);
  const users = await Promise.all(names.map(lookup));
  const request = {
    name: name.value.trim(),
    description: description.value.trim(),
    join: join.value,
    history: history.value,
  };
  const memberIds = [...new Set(users.map((user) => user.id))];
  const { room } = await rooms.createRoom({ clientRequestId, memberIds, ...request });
  close();
  made(room);
}
