// Holds the edits to the cases in tests/edits.json, or in the file that is named.
import { readFileSync } from "node:fs";
import * as edit from "./edit/edit.js";
import { parse } from "./edit/json-text.js";

const path = process.argv[2] ?? new URL("../../tests/edits.json", import.meta.url);
// What `JSON.parse` gives, except where that would lose something: digits, or the order of keys.
function plain(value) {
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  if (value instanceof Map) {
    const map = new Map([...value].map(([key, item]) => [key, plain(item)]));
    return [...map.keys()].some((key) => /^\d+$/.test(key)) ? map : Object.fromEntries(map);
  }
  return value;
}

const cases = plain(parse(readFileSync(path, "utf8")));
const functions = {
  line_present: edit.linePresent,
  line_absent: edit.lineAbsent,
  line_key: edit.lineKey,
  block: edit.block,
  ini_set: edit.iniSet,
  ini_remove: edit.iniRemove,
  json_merge: edit.jsonMerge,
  toml_merge: edit.tomlMerge,
};

function show(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? String(item) : item));
}

let failed = 0;
for (const [n, { function: name, text, arguments: rest, result, error }] of cases.entries()) {
  let made, why;
  try {
    made = functions[name](text, ...rest);
  } catch (thrown) {
    why = thrown;
  }
  const isGood = error === undefined ? made === result : typeof why === "string" && why.includes(error);
  if (!isGood) {
    failed++;
    const got = show(why === undefined ? { result: made } : { error: String(why) });
    console.error(`case ${n}: ${show(cases[n])}\n  got ${got}`);
  }
}
console.log(`JavaScript: ${cases.length - failed} of ${cases.length} edits as they should be`);
process.exit(failed === 0 && cases.length > 0 ? 0 : 1);
