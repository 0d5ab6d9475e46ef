// Values of INI files: sections in brackets, `key = value`, comments after `;` or `#`.
import { insert, join, split, trim } from "./lines.js";

// Has `key` of a section have this value; the keys before the first section are of the section
// named by the empty text. A line that is there keeps its place and its spelling of `=`; others of
// the same key in that section go. What is missing is added at the section's end.
export function iniSet(text, section, key, value) {
  const lines = split(text);
  const [first, ...others] = places(lines, section, key);
  if (first !== undefined) {
    const line = lines[first].text;
    const equals = line.indexOf("=");
    const blank = line[equals + 1] === " " ? " " : "";
    lines[first].text = `${line.slice(0, equals)}=${blank}${value}`;
    return join(text, lines.filter((_, n) => !others.includes(n)));
  }
  const line = `${key} = ${value}`;
  const at = endOfSection(lines, section);
  if (at === undefined) {
    insert(text, lines, lines.length, `[${section}]`);
    insert(text, lines, lines.length, line);
  } else {
    insert(text, lines, at, line);
  }
  return join(text, lines);
}

// Has `key` of a section not be there. The section stays.
export function iniRemove(text, section, key) {
  const lines = split(text);
  const found = places(lines, section, key);
  return join(text, lines.filter((_, n) => !found.includes(n)));
}

// The section that a line begins.
function header(line) {
  const text = trim(line);
  const end = text.indexOf("]");
  return text.startsWith("[") && end > 0 ? trim(text.slice(1, end)) : undefined;
}

// The lines of a key, in every stretch of its section.
function places(lines, section, key) {
  let within = "";
  const found = [];
  for (const [n, { text }] of lines.entries()) {
    const name = header(text);
    const equals = text.indexOf("=");
    if (name !== undefined) {
      within = name;
    } else if (within === section && !/^[#;]/.test(trim(text)) && equals >= 0) {
      if (trim(text.slice(0, equals)) === key) {
        found.push(n);
      }
    }
  }
  return found;
}

// Where a line is added to a section: after the last of its first stretch that is not blank.
function endOfSection(lines, section) {
  const headers = lines.map(({ text }) => header(text));
  const first = section === "" ? 0 : headers.indexOf(section) + 1;
  if (first === 0 && section !== "") {
    return undefined;
  }
  const next = headers.findIndex((name, n) => n >= first && name !== undefined);
  let at = next < 0 ? lines.length : next;
  while (at > first && trim(lines[at - 1].text) === "") {
    at--;
  }
  return at;
}
