"""What is found of distillation campaigns, how soon and at whose cost, beside rivals over the same events."""
