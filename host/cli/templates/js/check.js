// The health check {{ name }}.

import * as context from "cerebro:recipe/context@0.1.0";
import { http } from "cerebro:recipe/net@0.1.0";

export function check() {
  const { address: host, ports } = context.get();
  if (ports.length === 0) throw "the job has no port";
  const probe = { host, port: ports[0].number, path: "/", headers: [], timeout: 1000, limit: 1024 };
  let answer;
  try {
    answer = http(probe);
  } catch (error) {
    const message = String((error.payload ?? error).val ?? error);
    return { status: "critical", message, metrics: [] };
  }
  const isGood = answer.status >= 200 && answer.status < 400;
  return {
    status: isGood ? "passing" : "critical",
    message: `status ${answer.status}`,
    metrics: [{ name: "response_time", value: Number(answer.took) / 1e6, unit: "s" }],
  };
}
