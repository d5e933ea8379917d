import { afterEach } from '@jest/globals';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const app of open.splice(0).reverse()) await app.close();
});

/** It is closed after the test. */
export function closeLater<T extends { close(): Promise<void> }>(app: T): T {
  open.push(app);
  return app;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** An application that listens on a free port of this machine. */
export interface HttpApp {
  readonly app: INestApplication;
  readonly url: string;
  get(path: string, headers?: Record<string, string>): Promise<Reply>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
}

/** @param close sees to it that the application is closed; default: after the test */
export async function serve(
  metadata: ModuleMetadata,
  prepare: (app: INestApplication) => unknown = () => undefined,
  override: (builder: TestingModuleBuilder) => TestingModuleBuilder = (builder) => builder,
  close: <T extends INestApplication>(app: T) => T = closeLater,
): Promise<HttpApp> {
  const testing = await override(Test.createTestingModule(metadata)).compile();
  const app = close(testing.createNestApplication({ logger: false }));
  await prepare(app);
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const send = async (path: string, init: RequestInit): Promise<Reply> => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parse(text) };
  };
  return {
    app,
    url,
    get: (path, headers = {}) => send(path, { headers }),
    post: (path, body, headers = {}) =>
      send(path, {
        method: 'POST',
        body: JSON.stringify(body ?? {}),
        headers: { 'content-type': 'application/json', ...headers },
      }),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
