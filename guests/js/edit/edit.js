// Edits of configuration files, as pure functions from the old text to the new one: read the file,
// edit its text as often as needed, write it once.
//
// To apply one twice changes nothing more. Lines keep their ends (`\n` or `\r\n`), new ones get that
// of the first line, and a file without a final newline stays without one. What cannot be edited is
// thrown as a text, which a recipe may pass on as it is.
export { block, lineAbsent, lineKey, linePresent } from "./lines.js";
export { iniRemove, iniSet } from "./ini.js";
export { jsonMerge } from "./json.js";
export { tomlMerge } from "./toml.js";
