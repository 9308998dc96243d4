/** Metadata by target and key, as far as @peculiar/x509 asks for it. */
const store = new WeakMap<object, Map<unknown, unknown>>();

interface ReflectMetadata {
  getMetadata?: (key: unknown, target: object) => unknown;
  getOwnMetadata?: (key: unknown, target: object) => unknown;
  defineMetadata?: (key: unknown, value: unknown, target: object) => void;
}

/**
 * Gives `Reflect` the three functions without which @peculiar/x509 refuses to load: it keeps its algorithms by decorators, which note their constructors'
 * parameters there. What is present stays.
 */
export function provideReflectMetadata(): void {
  const reflect = Reflect as ReflectMetadata;
  const own = (key: unknown, target: object): unknown => store.get(target)?.get(key);
  reflect.getOwnMetadata ??= own;
  reflect.getMetadata ??= (key, target) => {
    for (let each: object | null = target; each !== null; each = Reflect.getPrototypeOf(each)) {
      const value = own(key, each);
      if (value !== undefined) {
        return value;
      }
    }
    return undefined;
  };
  reflect.defineMetadata ??= (key, value, target) => {
    const values = store.get(target) ?? new Map<unknown, unknown>();
    values.set(key, value);
    store.set(target, values);
  };
}
