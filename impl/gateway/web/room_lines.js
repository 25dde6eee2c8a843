// What happened in a room, in one sentence.

const JOIN = {
  JOIN_POLICY_OPEN: "Everybody with the link may join now.",
  JOIN_POLICY_INVITE_ONLY: "Only who is added may join now.",
};
const HISTORY = {
  HISTORY_POLICY_SINCE_JOIN: "New members read what is said from then on.",
  HISTORY_POLICY_EVERYTHING: "Members may read everything that was ever said.",
};

const ROLES = { ROLE_ADMIN: "an administrator", ROLE_OWNER: "the owner" };

/** The sentence for a change of a room; `nameOf` gives the name of a user id, "You" for the reader's. */
export function roomLine({ room: change, senderId }, nameOf) {
  const who = nameOf(senderId);
  const { created, changed, joined, left, role, owner } = change;
  if (created) return `${who} created the room${others(created.memberIds, nameOf)}.`;
  if (changed) return settings(who, changed);
  if (joined) return came(who, joined.userId === senderId, nameOf(joined.userId));
  if (left) return went(who, left.userId === senderId, nameOf(left.userId));
  if (role) return `${who} made ${object(nameOf(role.userId))} ${ROLES[role.role] ?? "a member"}.`;
  if (owner) return `${who} handed the room over to ${object(nameOf(owner.userId))}.`;
  return "The room was changed.";
}

function others(ids = [], nameOf) {
  if (ids.length === 0) return "";
  const names = ids.slice(0, 3).map((id) => object(nameOf(id)));
  const more = ids.length - names.length;
  return ` with ${[...names, ...(more ? [`${more} more`] : [])].join(", ").replace(/, ([^,]*)$/u, " and $1")}`;
}

function settings(who, { name, description, join, history }) {
  const said = [];
  if (name !== undefined) said.push(`${who} named the room “${name}”.`);
  if (description) said.push(`${who} described the room: ${description}`);
  if (description === "") said.push(`${who} removed the description.`);
  if (join in JOIN) said.push(JOIN[join]);
  if (history in HISTORY) said.push(HISTORY[history]);
  return said.join(" ");
}

function came(who, alone, name) {
  return alone ? `${who} joined.` : `${who} added ${object(name)}.`;
}

function went(who, alone, name) {
  return alone ? `${who} left.` : `${who} removed ${object(name)}.`;
}

function object(name) {
  return name === "You" ? "you" : name;
}
