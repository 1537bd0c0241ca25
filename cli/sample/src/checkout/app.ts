interface Order {
  items: { name: string; price: number; quantity: number }[];
}

/** Adds up an order. */
export async function handler(order: Order) {
  const total = order.items.reduce((sum, { price, quantity }) => sum + price * quantity, 0);
  return { total, version: process.env.AWS_LAMBDA_FUNCTION_VERSION };
}
