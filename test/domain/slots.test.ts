import { expect, it } from 'vitest';
import { slots } from '../../domain/slots.ts';

it('lets so many run at once, the others in the order in which they came, whatever fails', async () => {
  const inSlot = slots(2);
  const begun: number[] = [];
  const ends = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  const results = [0, 1, 2, 3].map((index) =>
    inSlot(() => {
      begun.push(index);
      return new Promise<void>((resolve, reject) => ends.set(index, { resolve, reject }));
    }).catch((error: Error) => error.message),
  );
  expect(begun).toEqual([0, 1]);
  ends.get(1)!.reject(new Error('no'));
  expect(await results[1]).toBe('no');
  expect(begun).toEqual([0, 1, 2]);
  ends.get(0)!.resolve();
  await results[0];
  expect(begun).toEqual([0, 1, 2, 3]);
  ends.get(2)!.resolve();
  ends.get(3)!.resolve();
  await Promise.all(results);
  void inSlot(async () => void begun.push(4));
  expect(begun).toContain(4);
});
