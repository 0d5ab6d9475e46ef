// Asks the instance for a page; see ../../SPEC.md.

import * as context from "cerebro:recipe/context@0.1.0";
import { http } from "cerebro:recipe/net@0.1.0";

export function check() {
  const options = JSON.parse(context.options());
  const path = options.path === undefined ? "/" : options.path;
  if (typeof path !== "string") throw "the option path is not a text";
  const wanted = number(options, "status", 200);
  const timeout = number(options, "timeout", 1000);
  const { address: host, ports } = context.get();
  const port = ports.find(({ name }) => name === "http")?.number;
  if (port === undefined) throw "the job has no port http";

  let answer;
  try {
    answer = http({ host, port, path, headers: [], timeout, limit: 1024 });
  } catch (thrown) {
    const error = thrown.payload ?? thrown;
    // The check itself is at fault, not the instance.
    if (error.tag === "denied" || error.tag === "invalid") throw error.val;
    return { status: "critical", message: String(error.val ?? error), metrics: [] };
  }
  const metrics = [{ name: "response_time", value: Number(answer.took) / 1e6, unit: "s" }];
  return answer.status === wanted
    ? { status: "passing", message: `${path}: ${answer.status}`, metrics }
    : { status: "critical", message: `${path}: ${answer.status}, expected ${wanted}`, metrics };
}

function number(options, name, standard) {
  const value = options[name] === undefined ? standard : options[name];
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw `the option ${name} is not a whole number`;
  }
  return value;
}
