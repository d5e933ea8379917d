/** What a promise is rejected with; handled from the start, though it is looked at later. */
export function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`Expected a rejection, got ${JSON.stringify(value) ?? 'undefined'}.`);
    },
    (error: unknown) => error,
  );
}
