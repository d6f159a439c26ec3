#pragma once
int in_unit();
