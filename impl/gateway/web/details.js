// The panel beside a conversation: who is there, and what the reader may change.

import { attempt } from "./attempt.js";
import { confirmed } from "./dialogs.js";
import { button, element, field, icon, input, make, paintAvatar, select } from "./dom.js";
import { Members } from "./members.js";
import { HISTORY_CHOICES, JOIN_CHOICES } from "./new_room.js";

const LEADS = new Set(["ROLE_ADMIN", "ROLE_OWNER"]);

/** Shows details of the conversation that is open. */
export class Details {
  #messenger;
  #people;
  #nameOf;
  #conversation = null;
  #drawn = "";
  #members = null;

  constructor({ messenger, people, nameOf }) {
    this.#messenger = messenger;
    this.#people = people;
    this.#nameOf = nameOf;
    element("show-details").onclick = () => (this.open ? this.close() : this.show());
  }

  get open() {
    return !element("details").hidden;
  }

  show() {
    this.#toggle(true);
    this.paint(this.#conversation);
    element("details").querySelector("button")?.focus();
  }

  close() {
    this.#toggle(false);
    element("show-details").focus();
  }

  /** A room has changed: who is in it may be different. */
  changed(conversationId) {
    if (this.open && conversationId === this.#conversation?.id) this.#members?.load();
  }

  /** Paints the details of a conversation; null if none is open. */
  paint(conversation) {
    const another = conversation?.id !== this.#conversation?.id;
    this.#conversation = conversation;
    if (!conversation && this.open) this.#toggle(false);
    if (!this.open) return;
    // Painted anew only when what it says has changed: a form that is being filled in is left alone.
    const { id, room, user, left } = conversation;
    const { role, name, description, join, history } = room ?? {};
    const drawn = JSON.stringify([id, role, name, description, join, history, user, left]);
    if (drawn === this.#drawn && !another) return;
    this.#drawn = drawn;
    if (another) this.#members = null;
    element("details").replaceChildren(this.#header(), ...(conversation.roomId ? this.#room() : this.#person()));
  }

  #toggle(open) {
    element("details").hidden = !open;
    element("app").classList.toggle("detailed", open);
    element("show-details").ariaExpanded = String(open);
    if (!open) this.#drawn = "";
  }

  #header() {
    const title = make("h2", "", this.#conversation.roomId ? "Room" : "Profile");
    title.id = "details-title";
    const away = button("", "icon", () => this.close());
    away.ariaLabel = away.title = "Close details";
    away.append(icon("close"));
    return make("header", "bar", title, away);
  }

  #person() {
    const { user, peerId } = this.#conversation;
    const known = user ?? this.#people.of(peerId);
    const name = this.#nameOf(this.#conversation);
    const avatar = make("span", "avatar large");
    avatar.ariaHidden = "true";
    paintAvatar(avatar, name, peerId);
    const lines = [make("h3", "", name), make("p", "quiet", known ? `@${known.username}` : "")];
    if (known?.about) lines.push(make("p", "about-them", known.about));
    return [make("section", "sheet summary", avatar, ...lines)];
  }

  #room() {
    const { room, left } = this.#conversation;
    if (!room || left) return [make("p", "quiet empty", "You are not a member of this room any more.")];
    this.#members ??= new Members({
      messenger: this.#messenger,
      people: this.#people,
      conversation: this.#conversation,
    });
    this.#members.paint();
    const settings = LEADS.has(room.role) ? [this.#settings(room)] : [];
    return [this.#summary(room), this.#members.element, this.#invitation(room), ...settings, this.#leaving()];
  }

  #summary(room) {
    const avatar = make("span", "avatar large");
    avatar.ariaHidden = "true";
    paintAvatar(avatar, room.name, room.id, true);
    return make(
      "section",
      "sheet summary",
      avatar,
      make("h3", "", room.name),
      make("p", "quiet about-them", room.description),
    );
  }

  #settings(room) {
    const owner = room.role === "ROLE_OWNER";
    const controls = [
      input("name", { maxLength: 128, value: room.name }),
      input("description", { rows: 2, value: room.description, maxLength: 2000 }),
    ];
    const fields = [field("Name", controls[0]), field("Description", controls[1])];
    if (owner) {
      controls.push(select("join", JOIN_CHOICES, room.join), select("history", HISTORY_CHOICES, room.history));
      fields.push(field("Who may join", controls[2]), field("What members may read", controls[3]));
    }
    const form = make("form", "fields", ...fields, this.#error(), make("div", "actions", make("button", "", "Save")));
    form.noValidate = true;
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.#save(form, room, Object.fromEntries(controls.map(({ name, value }) => [name, value.trim()])));
    };
    return make("details", "sheet", make("summary", "", "Settings"), form);
  }

  async #save(form, room, wanted) {
    const changes = Object.entries(wanted).filter(([name, value]) => value !== (room[name] ?? ""));
    if (changes.length === 0) return;
    await attempt(
      form.querySelector(".error"),
      async () => {
        const request = { roomId: room.id, ...Object.fromEntries(changes) };
        const answer = await this.#messenger.client.roomService.updateRoom(request);
        this.#conversation.room = answer.room;
      },
      form,
    );
    this.paint(this.#conversation);
  }

  #invitation(room) {
    const address = input("link", { readOnly: true, value: `${location.origin}/#${room.conversationId}` });
    const copy = button("Copy link", "", async () => {
      address.select();
      await navigator.clipboard?.writeText(address.value).catch(() => undefined);
      copy.textContent = "Copied";
    });
    const open = room.join === "JOIN_POLICY_OPEN";
    const hint = open ? "Whoever has the link may join." : "The link is for members: nobody joins without being added.";
    return make("section", "sheet", make("div", "beside", field("Link", address), copy), make("p", "quiet hint", hint));
  }

  #leaving() {
    const error = this.#error();
    const leave = button("Leave room", "danger", async () => {
      if (!(await confirmed(`Leave “${this.#conversation.room.name}”?`, "Leave room"))) return;
      const { roomId } = this.#conversation;
      const { client, userId } = this.#messenger;
      await attempt(error, () => client.roomService.removeMember({ roomId, userId }));
    });
    return make("section", "sheet", error, leave);
  }

  #error() {
    return Object.assign(make("p", "error"), { role: "alert" });
  }
}
