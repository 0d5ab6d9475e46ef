// Keeps releases side by side; see ../../SPEC.md.

import { fetch } from "cerebro:recipe/artifact@0.1.0";
import { run } from "cerebro:recipe/command@0.1.0";
import * as context from "cerebro:recipe/context@0.1.0";
import * as files from "cerebro:recipe/files@0.1.0";
import { write as log } from "cerebro:recipe/log@0.1.0";
import * as release from "cerebro:recipe/release@0.1.0";

export function deploy() {
  const { base, artifact, greeting, keep } = parse(context.options());
  const instance = context.get();
  const { job, version, address, root } = instance;
  const port = instance.ports.find(({ name }) => name === "http")?.number;
  if (port === undefined) throw "the job has no port http";
  say(`deploy ${job} ${version} to ${base}`);

  const content = doing("fetch the artifact", () => fetch(artifact));

  const layout = { base, owner: undefined, shared: [{ path: "log", directory: true }] };
  changing(`stage ${version}`, () => release.stage(layout, version, content, 1));

  const [directory, template] = doing("read app.conf.tmpl", () => {
    const directory = release.path(base, version);
    return [directory, files.read(`${directory}/app.conf.tmpl`, 65536)];
  });
  const text = decode(template)
    .replaceAll("{{version}}", () => version)
    .replaceAll("{{address}}", () => address)
    .replaceAll("{{port}}", () => port)
    .replaceAll("{{greeting}}", () => greeting);
  changing("write app.conf", () =>
    files.write(`${directory}/app.conf`, encode(text), { mode: 0o640, owner: undefined }));

  const mark = `${base}/shared/initialised`;
  changing("touch initialised", () =>
    runToSuccess({
      argv: ["/usr/bin/touch", root + mark],
      env: [],
      guards: [{ tag: "creates", val: mark }],
      success: [],
      semantics: undoneBy(["/usr/bin/rm", "-f", root + mark]),
    }));

  changing(`activate ${version}`, () => release.activate(base, version));
  for (const old of doing("prune", () => release.prune(base, keep))) say(`prune ${old}`);
}

export function undeploy() {
  const { base } = parse(context.options());
  say(`undeploy ${context.get().job} from ${base}`);
  changing("remove initialised", () => files.remove(`${base}/shared/initialised`));
  changing(`leave ${base}`, () => release.leave(base));
}

// Runs a command that must succeed. Nothing else is asked of its outcome, so that a plan goes on
// behind it.
function runToSuccess(spec) {
  return run(spec).ensureSuccess();
}

// What takes a command back.
function undoneBy(undo) {
  return { query: false, undo, irreversible: false, assume: undefined, contain: [] };
}

function parse(json) {
  const options = JSON.parse(json);
  return {
    base: text(options, "base"),
    artifact: text(options, "artifact"),
    greeting: text(options, "greeting", "hello"),
    keep: number(options, "keep", 2),
  };
}

function text(options, name, standard) {
  const value = options[name] === undefined ? standard : options[name];
  if (value === undefined) throw `the option ${name} is missing`;
  if (typeof value !== "string") throw `the option ${name} is not a text`;
  return value;
}

function number(options, name, standard) {
  const value = options[name] === undefined ? standard : options[name];
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw `the option ${name} is not a whole number`;
  }
  return value;
}

function say(message) {
  log("info", message);
}

// Does something that changes the machine, and logs what it changed.
function changing(what, effect) {
  const change = doing(what, effect);
  say(`${what}: ${change.tag === "other" ? change.val : change.tag}`);
}

// What is thrown is the error of `deploy`: a text. The host's own errors come as { tag, val },
// thrown as they are or as the payload of an Error.
function doing(what, effect) {
  try {
    return effect();
  } catch (error) {
    throw `${what}: ${(error.payload ?? error).val ?? error}`;
  }
}

// QuickJS has neither TextEncoder nor TextDecoder.
function encode(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));
}

function decode(bytes) {
  return decodeURIComponent(escape(String.fromCharCode(...bytes)));
}
