__attribute__((objc_root_class))
@interface Calc { int total; }
- (int)add:(int)value;
+ (int)answer;
@end
@implementation Calc
- (int)add:(int)value { total += value; return total; }
+ (int)answer { return 42; }
@end
int answer(void) { return [Calc answer]; }
