// The recipe {{ name }}.

import { run } from "cerebro:recipe/command@0.1.0";
import * as context from "cerebro:recipe/context@0.1.0";
import * as files from "cerebro:recipe/files@0.1.0";
import * as log from "cerebro:recipe/log@0.1.0";

const DIR = "/opt/{{ name }}";
const AS_IT_IS = { mode: undefined, owner: undefined };

export function deploy() {
  const { version, root } = context.get();
  doing(`make ${DIR}`, () => files.directory(DIR, AS_IT_IS));
  const path = `${DIR}/greeting`;
  const text = bytes(`hello from ${version}\n`);
  const change = doing(`write ${path}`, () => files.write(path, text, AS_IT_IS));
  log.write("info", `${path}: ${change.tag}`);

  const mark = `${DIR}/initialised`;
  // Commands know the machine's own paths.
  const real = root + mark;
  doing(`initialise ${DIR}`, () =>
    runToSuccess(["/bin/touch", real], ["/bin/rm", "-f", real], mark));
}

export function undeploy() {
  doing(`remove ${DIR}`, () => files.remove(DIR));
}

// Runs a command that must succeed, and that `undo` takes back, unless `mark` is there. Nothing else
// is asked of its outcome, so that a plan goes on behind it.
function runToSuccess(argv, undo, mark) {
  const semantics = { query: false, undo, irreversible: false, assume: undefined, contain: [] };
  const guards = [{ tag: "creates", val: mark }];
  return run({ argv, env: [], guards, success: [], semantics }).ensureSuccess();
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
