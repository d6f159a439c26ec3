import hello;
int main() { return greet(-1); }
