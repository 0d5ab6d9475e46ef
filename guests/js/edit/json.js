// JSON files.
import { fromValue, isSame, parse, write } from "./json-text.js";
import { linesOf, trim, withEndsOf } from "./lines.js";

// Merges `patch` into a JSON document as RFC 7396 says: an object is merged key by key, `null` takes
// a key away, and anything else replaces what is there. Keys keep their order and the text its
// indentation; what is of an unusual layout gets one value a line. A document that says all of it
// already stays as it is, byte for byte. Whole numbers beyond 64 bits become floats.
//
// `patch` is what `JSON.parse` gives. JavaScript has one kind of number: what is whole in a patch is
// written without a fraction. An object orders keys that are whole numbers by itself; a `Map` keeps
// them as they are.
export function jsonMerge(text, patch) {
  const isBlank = trim(text) === "";
  let old = new Map();
  if (!isBlank) {
    try {
      old = parse(text);
    } catch (error) {
      throw `it is no JSON: ${error}`;
    }
  }
  const made = merged(old, fromValue(patch));
  if (!isBlank && isSame(made, old)) {
    return text;
  }
  return withEndsOf(text, write(made, indentation(text)) + "\n");
}

function merged(old, patch) {
  if (!(patch instanceof Map)) {
    return patch;
  }
  const map = new Map(old instanceof Map ? old : []);
  for (const [key, value] of patch) {
    if (value === null) {
      map.delete(key);
    } else {
      // A key that is there keeps its place: the order is what a person knows the file by.
      map.set(key, merged(map.get(key), value));
    }
  }
  return map;
}

// What the first line that is indented is indented with.
function indentation(text) {
  const first = linesOf(text).find((line) => /^[ \t]/.test(line) && trim(line) !== "");
  return first === undefined ? "  " : first.match(/^[ \t]+/)[0];
}
