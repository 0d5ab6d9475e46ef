// Numbers, flags and times of a TOML document.
import { Value } from "./toml-tree.js";

const TIME = "([01]\\d|2[0-3]):[0-5]\\d(:([0-5]\\d|60)(\\.\\d+)?)?";
const DATE = "\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])";
const OFFSET = "[Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d";
const WHEN = new RegExp(`^(${TIME}|${DATE}([Tt ]${TIME}(${OFFSET})?)?)$`);
const WHOLE = "(0|[1-9](_?\\d)*)";
const INTEGER = new RegExp(`^[+-]?${WHOLE}$`);
const RADIX = /^0(x[\da-fA-F](_?[\da-fA-F])*|o[0-7](_?[0-7])*|b[01](_?[01])*)$/;
const FLOAT = new RegExp(`^[+-]?${WHOLE}(\\.\\d(_?\\d)*)?([eE][+-]?\\d(_?\\d)*)?$`);

export function scalar(reader) {
  let word = reader.match(/[^=,[\]{} \t#\r\n]+/y);
  // A date and a time may have a blank between them.
  if (/^\d{4}-\d\d-\d\d$/.test(word)) {
    word += reader.match(/ [^=,[\]{} \t#\r\n]+/y);
  }
  const digits = word.replaceAll("_", "");
  if (word === "true" || word === "false") {
    return new Value("flag", word === "true");
  }
  if (INTEGER.test(word) || RADIX.test(word)) {
    const whole = /^[+-]/.test(digits) ? BigInt(digits.slice(1)) : BigInt(digits);
    const value = digits.startsWith("-") ? -whole : whole;
    const isWord = value >= -(2n ** 63n) && value < 2n ** 63n;
    return isWord ? new Value("integer", value) : reader.fail("the number is too large");
  }
  if (FLOAT.test(word)) {
    const isFinite = Number.isFinite(Number(digits));
    return isFinite ? new Value("float", Number(digits)) : reader.fail("the number is too large");
  }
  const special = word.match(/^([+-]?)(inf|nan)$/);
  if (special !== null) {
    const value = special[2] === "inf" ? Infinity : NaN;
    return new Value("float", special[1] === "-" ? -value : value);
  }
  if (WHEN.test(word) && isDay(word)) {
    return new Value("time", word);
  }
  return reader.fail(word === "" ? "expected a value" : `\`${word}\` is no value`);
}

// Whether the month of a date has that day.
function isDay(word) {
  const [, year, month, day] = word.match(/^(\d{4})-(\d\d)-(\d\d)/)?.map(Number) ?? [];
  if (year === undefined) {
    return true;
  }
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return day <= [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
}
