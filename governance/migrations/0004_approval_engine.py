import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from core.migrations._append_only import append_only, lifted
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('governance', '0003_append_only'),
        ('registry', '0004_names_in_byte_order'),
    ]

    operations = [
        lifted("governance_decision"),
        migrations.AddField(
            model_name='binding',
            name='mode',
            field=models.CharField(choices=[('enforce', 'Enforce'), ('warn', 'Warn'), ('shadow', 'Shadow')], default='enforce', max_length=7),
        ),
        migrations.AddField(
            model_name='binding',
            name='parameters_name',
            field=models.CharField(blank=True, default='', max_length=100),
        ),
        migrations.AddField(
            model_name='decision',
            name='gate_revision',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AlterField(
            model_name='decision',
            name='purpose',
            field=models.CharField(choices=[('approve', 'Approve'), ('execute', 'Execute'), ('observe', 'Observe'), ('reevaluate', 'Reevaluate'), ('break_glass', 'Break Glass')], max_length=11),
        ),
        migrations.AlterField(
            model_name='decision',
            name='request_id',
            field=models.BigIntegerField(db_index=True, null=True),
        ),
        migrations.AddField(
            model_name='checkrun',
            name='tables_digest',
            field=models.CharField(blank=True, default='', max_length=71),
        ),
        migrations.CreateModel(
            name='EvidenceSnapshot',
            fields=[
                ('digest', models.CharField(max_length=71, primary_key=True, serialize=False)),
                ('parts', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name='FindingRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(choices=[('reviewer', 'Reviewer'), ('check', 'Check'), ('monitor', 'Monitor'), ('waiver', 'Waiver'), ('re_review', 'Re Review')], max_length=9)),
                ('key', models.CharField(blank=True, default='', max_length=300)),
                ('title', models.CharField(max_length=200)),
                ('description', models.TextField(blank=True, default='')),
                ('severity', models.CharField(choices=[('info', 'Info'), ('low', 'Low'), ('medium', 'Medium'), ('high', 'High'), ('critical', 'Critical')], max_length=8)),
                ('status', models.CharField(choices=[('open', 'Open'), ('closed', 'Closed')], default='open', max_length=6)),
                ('due_on', models.DateField(null=True)),
                ('raised_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('closed_at', models.DateTimeField(null=True)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='findings', to='registry.registeredmodel')),
                ('owner', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='owned_findings', to=settings.AUTH_USER_MODEL)),
                ('raised_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='finding_records', to='registry.modelversion')),
            ],
            options={
                'indexes': [models.Index(fields=['model', 'status'], name='finding_of_model')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('key', ''), _negated=True), fields=('model', 'key'), name='one_finding_per_key')],
            },
        ),
        migrations.CreateModel(
            name='FindingChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(max_length=8)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('comment', models.TextField(blank=True, default='')),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('evidence_run', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.checkrun')),
                ('finding', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='governance.findingrecord')),
            ],
        ),
        migrations.CreateModel(
            name='ParameterSet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('number', models.PositiveIntegerField()),
                ('values', models.JSONField()),
                ('digest', models.CharField(max_length=71)),
                ('published_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('policy', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='parameter_sets', to='governance.policy')),
                ('published_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'number'), name='one_parameter_set_per_number')],
            },
        ),
        migrations.CreateModel(
            name='QuestionnaireRevision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('number', models.PositiveIntegerField()),
                ('digest', models.CharField(max_length=71)),
                ('document', models.TextField()),
                ('published_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('published_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'number'), name='one_questionnaire_per_number')],
            },
        ),
        migrations.CreateModel(
            name='TierAssessment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answers', models.JSONField()),
                ('score', models.IntegerField()),
                ('scored_tier', models.CharField(max_length=6)),
                ('reasons', models.JSONField(default=list)),
                ('override_tier', models.CharField(blank=True, default='', max_length=6)),
                ('override_reason', models.TextField(blank=True, default='')),
                ('assessed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ruling', models.CharField(blank=True, default='', max_length=9)),
                ('ruled_at', models.DateTimeField(null=True)),
                ('ruling_comment', models.TextField(blank=True, default='')),
                ('assessed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tier_assessments', to='registry.registeredmodel')),
                ('questionnaire', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.questionnairerevision')),
                ('ruled_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['model', '-assessed_at'], name='tier_of_model')],
            },
        ),
        migrations.CreateModel(
            name='Waiver',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('policy', models.CharField(max_length=100)),
                ('requirement', models.CharField(max_length=100)),
                ('reason', models.TextField()),
                ('compensating_control', models.TextField()),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='waivers', to='registry.registeredmodel')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='waivers', to='registry.modelversion')),
            ],
            options={
                'indexes': [models.Index(fields=['model', 'policy', 'requirement'], name='waiver_of_requirement')],
                'constraints': [models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('requested_at'))), name='a_waiver_ends_after_it_begins')],
            },
        ),
        migrations.CreateModel(
            name='WaiverRuling',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verdict', models.CharField(choices=[('approved', 'Approved'), ('refused', 'Refused'), ('revoked', 'Revoked'), ('expired', 'Expired')], max_length=8)),
                ('comment', models.TextField(blank=True, default='')),
                ('ruled_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ruled_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('waiver', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rulings', to='governance.waiver')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('waiver', 'verdict'), name='one_ruling_of_a_kind'), models.UniqueConstraint(condition=models.Q(('verdict__in', ['approved', 'refused'])), fields=('waiver',), name='a_waiver_is_approved_or_refused')],
            },
        ),
        append_only("governance_decision", "governance_parameterset", "governance_evidencesnapshot", "governance_waiver", "governance_waiverruling", "governance_findingchange", "governance_questionnairerevision"),
    ]
