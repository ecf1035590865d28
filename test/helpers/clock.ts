/** Has the host's clock set back by an hour at each look at it, until the spy is restored. */
export function setBackClock(): jest.SpyInstance {
  let at = Date.now();
  return jest.spyOn(Date, 'now').mockImplementation(() => (at -= 3_600_000));
}
