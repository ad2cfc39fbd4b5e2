export class Review {
  on = false;
  constructor() {}
  toggle() {}
  close() {}
  place() {}
  key() { return false; }
  escape() {}
}
