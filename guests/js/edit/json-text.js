// JSON as it is written: `JSON.parse` forgets the order of keys that are numbers, and whether a
// number has a fraction, and so would change what nobody asked for.
//
// An object is a `Map`, a whole number a `BigInt`, any other one a number; the rest is as in
// JavaScript.

// As deep as objects and lists may hold each other.
const DEPTH = 127;

// What a text says; throws why it is no JSON.
export function parse(text) {
  let at = 0;

  function fail(why) {
    const lines = text.slice(0, at).split("\n");
    throw `${why} at line ${lines.length} column ${[...lines[lines.length - 1]].length + 1}`;
  }

  function skipBlanks() {
    while (at < text.length && " \t\r\n".includes(text[at])) {
      at++;
    }
  }

  function take(token) {
    skipBlanks();
    const isThere = text.startsWith(token, at);
    at += isThere ? token.length : 0;
    return isThere;
  }

  function expect(token) {
    if (!take(token)) {
      fail(`expected \`${token}\``);
    }
  }

  function match(pattern) {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    at += found === null ? 0 : found[0].length;
    return found;
  }

  function string() {
    const found = match(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    if (found === null) {
      fail("expected a text in quotes");
    }
    const value = JSON.parse(found[0]);
    if (/[\ud800-\udfff]/u.test(value)) {
      fail("half of a pair of `\\u`");
    }
    return value;
  }

  function number() {
    const [digits, fraction] = match(/-?(?:0|[1-9]\d*)((?:\.\d+)?(?:[eE][+-]?\d+)?)/y) ?? [];
    if (digits === undefined || /[\w.+-]/.test(text[at] ?? "")) {
      fail("expected a value");
    }
    if (fraction === "" && digits !== "-0" && isWord(BigInt(digits))) {
      return BigInt(digits);
    }
    const value = Number(digits);
    return Number.isFinite(value) ? value : fail("the number is out of range");
  }

  function value(depth) {
    skipBlanks();
    if (depth >= DEPTH && "{[".includes(text[at] ?? "x")) {
      fail("it is too deep");
    }
    if (take("{")) {
      const map = new Map();
      while (!take("}")) {
        if (map.size > 0) {
          expect(",");
        }
        skipBlanks();
        const key = string();
        expect(":");
        map.set(key, value(depth + 1));
      }
      return map;
    }
    if (take("[")) {
      const list = [];
      while (!take("]")) {
        if (list.length > 0) {
          expect(",");
        }
        list.push(value(depth + 1));
      }
      return list;
    }
    for (const [word, meaning] of [["null", null], ["true", true], ["false", false]]) {
      if (take(word)) {
        return meaning;
      }
    }
    return text[at] === '"' ? string() : number();
  }

  const all = value(0);
  skipBlanks();
  return at === text.length ? all : fail("trailing characters");
}

// What 64 bits hold, with a sign or without.
function isWord(whole) {
  return whole >= -(2n ** 63n) && whole < 2n ** 64n;
}

// A value of JavaScript's in the form above.
export function fromValue(value) {
  if (typeof value === "number" && Number.isInteger(value) && !Object.is(value, -0)) {
    return isWord(BigInt(value)) ? BigInt(value) : value;
  }
  if (typeof value === "bigint") {
    return isWord(value) ? value : Number(value);
  }
  if (Array.isArray(value)) {
    return value.map((item) => fromValue(item ?? null));
  }
  if (value !== null && typeof value === "object") {
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const given = entries.filter(([, item]) => item !== undefined);
    return new Map(given.map(([key, item]) => [String(key), fromValue(item)]));
  }
  const isPlain = value === null || ["string", "boolean"].includes(typeof value);
  if (!isPlain && !Number.isFinite(value)) {
    throw `the patch holds what JSON does not have: ${String(value)}`;
  }
  return value;
}

export function isSame(a, b) {
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, n) => isSame(item, b[n]));
  }
  if (a instanceof Map) {
    const isThere = ([key, item]) => b.has(key) && isSame(item, b.get(key));
    return b instanceof Map && a.size === b.size && [...a].every(isThere);
  }
  return a === b;
}

// One value a line, each depth indented by `indent`.
export function write(value, indent, margin = "\n") {
  const inner = margin + indent;
  if (Array.isArray(value)) {
    const items = value.map((item) => inner + write(item, indent, inner));
    return items.length === 0 ? "[]" : `[${items.join(",")}${margin}]`;
  }
  if (value instanceof Map) {
    const items = [...value].map(
      ([key, item]) => `${inner}${JSON.stringify(key)}: ${write(item, indent, inner)}`,
    );
    return items.length === 0 ? "{}" : `{${items.join(",")}${margin}}`;
  }
  if (typeof value === "number") {
    return float(value);
  }
  return typeof value === "bigint" ? String(value) : JSON.stringify(value);
}

// A float with its fraction: `1.0`, not `1`; with an exponent where it is long.
export function float(value) {
  const { sign, digits, point } = decimal(value);
  if (point > -5 && point <= 16) {
    return sign + withPoint(digits, point);
  }
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
  return `${sign}${digits[0]}${fraction}e${point > 0 ? "+" : ""}${point - 1}`;
}

// The fewest digits that are this float, and how many of them are before the point.
function decimal(value) {
  const size = Math.abs(value);
  let text = size.toExponential();
  // Of a power of two, QuickJS gives a digit more than it needs.
  for (let count = digitsOf(text).length - 1; count > 0; count--) {
    const near = size.toExponential(count - 1);
    const found = [near, roundedUp(near)].find((one) => Number(one) === size);
    if (found === undefined) {
      break;
    }
    text = found;
  }
  return {
    sign: value < 0 || Object.is(value, -0) ? "-" : "",
    digits: digitsOf(text),
    point: Number(text.split("e")[1]) + 1,
  };
}

function digitsOf(text) {
  return text.split("e")[0].replace(".", "");
}

// With one more in its last digit.
function roundedUp(text) {
  const digits = String(BigInt(digitsOf(text)) + 1n);
  return `${digits[0]}.${digits.slice(1)}e${text.split("e")[1]}`;
}

function withPoint(digits, point) {
  if (point <= 0) {
    return `0.${"0".repeat(-point)}${digits}`;
  }
  const padded = digits.padEnd(point + 1, "0");
  return `${padded.slice(0, point)}.${padded.slice(point)}`;
}
