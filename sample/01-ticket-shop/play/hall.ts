export const ROWS: readonly (readonly string[])[] = ['A', 'B', 'C', 'D'].map((row) =>
  ['1', '2', '3', '4', '5'].map((number) => row + number),
);
/** The seats kept back for the second act begin with that. */
export const VIP = 'VIP';
export const BUYERS = 300;
