// The tensors inside the page: safetensors, in half precision or float32, as base64.

export function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// What each of the 65,536 half-precision numbers is in float32.
function halves() {
  const table = new Float32Array(1 << 16);
  for (let bits = 0; bits < 1 << 16; bits++) {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    table[bits] = bits >> 15 ? -size : size;
  }
  return table;
}

// Return {name: {shape, data}}; floats are Float32Array, whole numbers Int16Array or Int32Array.
export function readTensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const table = halves(), tensors = {};
  for (const [name, one] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [start, end] = one.data_offsets;
    const raw = bytes.slice(8 + length + start, 8 + length + end).buffer; // aligned, as typed arrays want it
    let data;
    if (one.dtype === "F16") {
      const stored = new Uint16Array(raw);
      data = new Float32Array(stored.length);
      for (let i = 0; i < stored.length; i++) data[i] = table[stored[i]];
    } else {
      data = new { F32: Float32Array, I16: Int16Array, I32: Int32Array, U8: Uint8Array }[one.dtype](raw);
    }
    tensors[name] = { shape: one.shape, data };
  }
  return tensors;
}
