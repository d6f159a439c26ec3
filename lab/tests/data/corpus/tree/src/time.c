const char when[] = __DATE__ " " __TIME__;
const char stamp[] = __TIMESTAMP__;
