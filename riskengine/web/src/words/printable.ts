// Text of other people, made visible: control characters, and those that turn the direction of letters around, become
// escapes such as \u202e, as in the log and the commands. Letters of every script stay.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** One line of text. */
export const printable = (text: string): string => text.replace(UNSEEN, escaped);

/** Several lines of text. */
export const printableLines = (text: string): string => text.replace(UNSEEN, (letter) => (letter === "\n" ? letter : escaped(letter)));

function escaped(letter: string): string {
  const code = letter.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}
