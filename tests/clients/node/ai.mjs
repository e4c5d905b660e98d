import { DefaultChatTransport, readUIMessageStream } from "ai";

const user = { id: "question-1", role: "user", parts: [{ type: "text", text: "Tell me something." }] };

export async function read(url, scenario, seen) {
  const transport = new DefaultChatTransport({ api: `${url}/${scenario}/api/chat` });
  const asked = { trigger: "submit-message", chatId: "chat-1", messages: [user] };
  await follow(await transport.sendMessages(asked), seen);
}

// What the application sees: each part, and at the end the message that they make.
export async function follow(stream, seen) {
  const noting = new TransformStream({
    transform(part, controller) {
      seen.push(part);
      controller.enqueue(part);
    },
  });
  let message;
  const messages = readUIMessageStream({ stream: stream.pipeThrough(noting), terminateOnError: true });
  for await (message of messages);
  seen.push(message.parts.map((part) => part.text).join(""));
}
