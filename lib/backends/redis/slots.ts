/** How many slots a Redis cluster divides its keys into. */
const SLOTS = 16_384;

/** CRC-16/XMODEM, which the cluster's specification asks for, a byte at a time. */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** Of ASCII text; `crc` is that of what comes before it. */
function crcOf(ascii: string, crc = 0): number {
  for (let at = 0; at < ascii.length; at++)
    crc = ((crc << 8) & 0xffff) ^ (table[(crc >> 8) ^ ascii.charCodeAt(at)] ?? 0);
  return crc;
}

/** The slots of tags that are a stem and a number: the stem is gone through once. */
export function slotsOfNumbered(stem: string): (number: number) => number {
  const crc = crcOf(stem);
  return (number) => crcOf(String(number), crc) % SLOTS;
}

/** The slot of a key: that of what stands in its first braces, if anything does. */
export function slotOf(name: string): number {
  const open = name.indexOf('{');
  const close = open < 0 ? -1 : name.indexOf('}', open + 1);
  const tag = close > open + 1 ? name.slice(open + 1, close) : name;
  let crc = 0;
  for (const byte of Buffer.from(tag)) crc = ((crc << 8) & 0xffff) ^ (table[(crc >> 8) ^ byte] ?? 0);
  return crc % SLOTS;
}
