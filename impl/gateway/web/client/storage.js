// Where a login and messages on their way are kept.

/** The browser's storage; where there is none or it is forbidden, one that lives as long as the page. */
export function deviceStorage() {
  try {
    return globalThis.localStorage ?? new MemoryStorage();
  } catch {
    return new MemoryStorage();
  }
}

/** A storage whose own properties are its keys, as those of Web Storage are. */
class MemoryStorage {
  getItem(key) {
    return Object.hasOwn(this, key) ? this[key] : null;
  }

  setItem(key, value) {
    this[key] = String(value);
  }

  removeItem(key) {
    delete this[key];
  }
}
