import { DefaultChatTransport } from "ai";
import { follow } from "./ai.mjs";

export async function read(url, scenario, seen) {
  const transport = new DefaultChatTransport({ api: `${url}/${scenario}/api/chat` });
  await follow(await transport.reconnectToStream({ chatId: "chat-1" }), seen);
}
