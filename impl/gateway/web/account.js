// Who is logged in, and what this browser remembers between visits.

const LOGIN = "idiom.login";
const NAMES = "idiom.names";
const READ = "idiom.read";

/** The login of this browser, kept until log out. */
export class Account {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  /** `{ user, accessToken, refreshToken, expiresAt }`, or null. */
  get login() {
    return stored(this.#storage, LOGIN, null);
  }

  /** Id of the user; "" if nobody is logged in. */
  get userId() {
    return this.login?.user?.id ?? "";
  }

  get accessToken() {
    return this.login?.accessToken ?? null;
  }

  enter(login) {
    this.#storage.setItem(LOGIN, JSON.stringify(login));
  }

  /** Forgets the login; what else is remembered stays under its user. */
  leave() {
    this.#storage.removeItem(LOGIN);
  }
}

/** Names of users met, by id. */
export class Names {
  #storage;
  #key;

  constructor(storage, userId) {
    this.#storage = storage;
    this.#key = `${NAMES}.${userId}`;
  }

  /** The name of a user, or null. */
  of(userId) {
    return stored(this.#storage, this.#key, {})[userId] ?? null;
  }

  remember(user) {
    const names = stored(this.#storage, this.#key, {});
    store(this.#storage, this.#key, { ...names, [user.id]: user.username });
  }
}

/** Up to where each conversation was read in this browser. */
export class ReadMarks {
  #storage;
  #key;

  constructor(storage, userId) {
    this.#storage = storage;
    this.#key = `${READ}.${userId}`;
  }

  /** The number read last, "0" if none. */
  of(conversationId) {
    return stored(this.#storage, this.#key, {})[conversationId] ?? "0";
  }

  mark(conversationId, seq) {
    const marks = stored(this.#storage, this.#key, {});
    if (BigInt(marks[conversationId] ?? 0) >= BigInt(seq)) return;
    store(this.#storage, this.#key, { ...marks, [conversationId]: seq });
  }
}

function store(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full: a name or a mark less, and the page goes on.
  }
}

function stored(storage, key, otherwise) {
  try {
    return JSON.parse(storage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
