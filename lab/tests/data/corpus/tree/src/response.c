const char *greeting = GREETING;
