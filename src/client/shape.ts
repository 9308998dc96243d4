/**
 * What a value must look like, as far as a client relies on it: undefined when it does, else the place of the first thing that does not, such as
 * `.hosts[0].name` (`""`: the value itself). Fields that a shape does not name are left alone: a newer server says more.
 */
export type Shape = (value: unknown) => string | undefined;

export const text: Shape = (value) => (typeof value === "string" ? undefined : "");

export const number: Shape = (value) => (typeof value === "number" ? undefined : "");

export const flag: Shape = (value) => (typeof value === "boolean" ? undefined : "");

export const nothing: Shape = (value) => (value === null ? undefined : "");

/** Whatever it is: a document that is printed and not looked into. */
export const anything: Shape = () => undefined;

/** null, absent, or what the shape says. */
export function optional(of: Shape): Shape {
  return (value) => (value === null || value === undefined ? undefined : of(value));
}

/** A list of what the shape says. */
export function list(of: Shape): Shape {
  return (value) => {
    if (!Array.isArray(value)) {
      return "";
    }
    for (const [index, each] of value.entries()) {
      const place = of(each);
      if (place !== undefined) {
        return `[${index}]${place}`;
      }
    }
    return undefined;
  };
}

/** An object that has at least these fields. */
export function fields(of: Readonly<Record<string, Shape>>): Shape {
  const shapes = Object.entries(of);
  return (value) => {
    if (typeof value !== "object" || value === null) {
      return "";
    }
    for (const [key, shape] of shapes) {
      const place = shape((value as Readonly<Record<string, unknown>>)[key]);
      if (place !== undefined) {
        return `.${key}${place}`;
      }
    }
    return undefined;
  };
}

/** An object whose values all have one shape. */
export function record(of: Shape): Shape {
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return "";
    }
    const wrong = Object.entries(value).find(([, each]) => of(each) !== undefined);
    return wrong === undefined ? undefined : `.${wrong[0]}`;
  };
}
