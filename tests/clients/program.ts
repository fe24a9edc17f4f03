// A partner's program over the generated types: submit, wait, list, and read a refusal.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { env: Record<string, string | undefined>; exit(code: number): never };

type Problem = components["schemas"]["Problem"];
type Task = components["schemas"]["Task"];

const client = createClient<paths>({
  baseUrl: process.env.WEBHOOKD_URL ?? "",
  headers: { Authorization: `Bearer ${process.env.WEBHOOKD_KEY}` },
});

function must<T>(held: T | undefined | null | false, what: string): T {
  if (!held) throw new Error(what);
  return held;
}

async function main(): Promise<void> {
  const submitted = await client.POST("/v1/tasks", { body: { type: "demo.echo", input: { n: 1 } } });
  const id: string = must(submitted.data, "submitted").id;
  const waited = await client.GET("/v1/tasks/{id}", { params: { path: { id }, query: { wait: 30 } } });
  const task: Task = must(waited.data, "waited");
  must(task.done && task.state === "succeeded", "done");
  const listed = await client.GET("/v1/tasks", { params: { query: { limit: 10 } } });
  must(must(listed.data, "listed").data[0]?.id === id, "the same task");
  const batch = await client.POST("/v1/tasks/batch", { body: { tasks: [{ type: "demo.echo" }, { type: "no.such" }] } });
  const results = must(batch.data, "batch").results;
  const codes = results.map((one) => (one.status === 422 ? one.error.code : one.task.id));
  must(codes[1] === "invalid", "the union narrows by status");
  const refused = await client.POST("/v1/tasks", { body: { type: "no.such" } });
  const problem: Problem = must(refused.error, "refused");
  console.log(problem.code);
}

void main().catch((error: unknown) => {
  console.log(error);
  process.exit(1);
});
