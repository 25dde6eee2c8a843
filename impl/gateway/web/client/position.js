// Positions in a conversation. Numbers are int64, so they are BigInt here and strings in JSON.
//
// Within an epoch seq counts 1, 2, 3 … without gaps; a new epoch goes on higher up.

/** Before everything. Epoch 0 is that of a position whose epoch is not known. */
export const START = Object.freeze({ epoch: 0n, seq: 0n });

/** The position of a message, a head or a cursor. */
export function positionOf({ epoch, seq }) {
  return { epoch: BigInt(epoch ?? 0), seq: BigInt(seq ?? 0) };
}

/** Whether a position lies behind another one. */
export function isAfter(position, other) {
  if (position.epoch === other.epoch || other.epoch === 0n) return position.seq > other.seq;
  return position.epoch > other.epoch;
}

/** Whether nothing can lie between a position and the one before it. */
export function follows(position, before) {
  return (position.epoch === before.epoch || before.epoch === 0n) && position.seq === before.seq + 1n;
}

/** A position as it stands in JSON. */
export function inJson({ epoch, seq }) {
  return { epoch: String(epoch), seq: String(seq) };
}

/** The higher of two numbers. */
export function highest(left, right) {
  return left > right ? left : right;
}
