import OpenAI from "openai";

export async function read(url, scenario, seen) {
  const client = new OpenAI({ baseURL: `${url}/${scenario}/v1`, apiKey: "none", maxRetries: 0 });
  const asked = { model: "small", input: "Tell me something.", stream: true };
  for await (const event of await client.responses.create(asked)) seen.push(event);
}
