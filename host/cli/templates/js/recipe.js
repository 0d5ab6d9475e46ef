// The recipe {{ name }}.

import * as context from "cerebro:recipe/context@0.1.0";
import * as files from "cerebro:recipe/files@0.1.0";
import * as log from "cerebro:recipe/log@0.1.0";

const DIR = "/opt/{{ name }}";
const AS_IT_IS = { mode: undefined, owner: undefined };

export function deploy() {
  const { version } = context.get();
  doing(`make ${DIR}`, () => files.directory(DIR, AS_IT_IS));
  const path = `${DIR}/greeting`;
  const text = bytes(`hello from ${version}\n`);
  const change = doing(`write ${path}`, () => files.write(path, text, AS_IT_IS));
  log.write("info", `${path}: ${change.tag}`);
}

export function undeploy() {
  doing(`remove ${DIR}`, () => files.remove(DIR));
}

// What is thrown is the recipe's error; those of the host have a tag and a text, `val`.
function doing(what, effect) {
  try {
    return effect();
  } catch (error) {
    throw `${what}: ${(error.payload ?? error).val ?? error}`;
  }
}

// UTF-8: QuickJS has no TextEncoder.
function bytes(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));
}
