/** The server's events, read with fetch because EventSource can't send the token. */

import { request } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
/** The server sends something every few seconds; a connection that is silent for longer is broken. */
const LONGEST_SILENCE_MS = 60000;

/**
 * Follow the server for as long as the page lives, across its restarts.
 *
 * @param {{opened: () => Promise<void>, event: (name: string, data: any) => void, lost: () => void}} listener
 */
export async function follow(listener) {
  let wait = FIRST_WAIT_MS;
  for (;;) {
    try {
      const response = await request("/events");
      await listener.opened();
      wait = FIRST_WAIT_MS;
      const stream = response.body ?? new ReadableStream();
      for await (const { name, data } of parse(stream)) listener.event(name, JSON.parse(data));
    } catch (error) {
      console.debug("events:", error);
    }
    listener.lost();
    await new Promise((resume) => setTimeout(resume, wait));
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

/**
 * Events as https://html.spec.whatwg.org/multipage/server-sent-events.html writes them, without ids.
 *
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 */
async function* parse(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const dead = setTimeout(() => reader.cancel(), LONGEST_SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(dead));
    if (done) return;
    text = (text + value).replaceAll("\r\n", "\n");
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => line.match(/^(event|data): ?(.*)$/)).filter((field) => field !== null);
      const data = fields.filter(([, field]) => field === "data").map(([, , part]) => part);
      const name = fields.findLast(([, field]) => field === "event")?.[2] ?? "message";
      if (data.length) yield { name, data: data.join("\n") };
    }
  }
}
