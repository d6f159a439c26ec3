int forced(int x) { return FORCED(x) + area((point){x, 1}); }
