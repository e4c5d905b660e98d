import OpenAI from "openai";

export async function read(url, scenario, seen) {
  const client = new OpenAI({ baseURL: `${url}/${scenario}/v1`, apiKey: "none", maxRetries: 0 });
  const messages = [{ role: "user", content: "Tell me something." }];
  const stream = await client.chat.completions.create({ model: "small", messages, stream: true });
  for await (const chunk of stream) seen.push(chunk);
}
