// One file in parts straight to S3, by links that the server signs. Parts that S3 has already are not sent again.

import { ask } from "./upload.js";

const AT_ONCE = 4;
const LINKS_AT_ONCE = 20;
const TRIES = 6;

/** PUT the parts of `file`. told: called with the bytes that have gone. */
export async function putParts(upload, { path, part_bytes: size }, file, told) {
  const count = Math.max(1, Math.ceil(file.size / size));
  const query = new URLSearchParams({ path });
  const there = new Set((await ask(`/${upload}/parts?${query}`)).numbers);
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !there.has(number));
  const bytesOf = (number) => Math.min(size, file.size - (number - 1) * size);
  const going = new Map();
  let arrived = [...there].reduce((sum, number) => sum + bytesOf(number), 0);
  const tell = () => told(Math.min(file.size, arrived + [...going.values()].reduce((sum, one) => sum + one, 0)));
  tell();

  while (missing.length) {
    const some = missing.splice(0, LINKS_AT_ONCE);
    const links = await ask(`/${upload}/parts`, { path, numbers: some });
    const lane = async () => {
      for (let link = links.shift(); link; link = links.shift()) {
        const { number, url } = link;
        const start = (number - 1) * size;
        await again(() => put(url, file.slice(start, start + size), (sent) => (going.set(number, sent), tell())));
        going.delete(number);
        arrived += bytesOf(number);
        tell();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }
}

async function again(action) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (attempt === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
}

function put(url, blob, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.upload.addEventListener("progress", (event) => progress(event.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) resolve();
      else reject(new Error(`The store answered ${request.status}.`));
    });
    request.addEventListener("error", () => reject(new Error("The store can't be reached.")));
    request.send(blob);
  });
}
